import activationsGeluText from '../../shaders/activations/gelu.wgsl?raw';
import activationsHardswishText from '../../shaders/activations/hardswish.wgsl?raw';
import activationsLeakyReluText from '../../shaders/activations/leaky_relu.wgsl?raw';
import activationsNoneText from '../../shaders/activations/none.wgsl?raw';
import activationsReluText from '../../shaders/activations/relu.wgsl?raw';
import activationsRelu6Text from '../../shaders/activations/relu6.wgsl?raw';
import activationsSiluText from '../../shaders/activations/silu.wgsl?raw';
import channelsApplyText from '../../shaders/channels/apply.wgsl?raw';
import channelsBackwardApplyText from '../../shaders/channels/backward_apply.wgsl?raw';
import channelsBackwardSumsText from '../../shaders/channels/backward_sums.wgsl?raw';
import channelsStatisticsText from '../../shaders/channels/statistics.wgsl?raw';
import convertCastText from '../../shaders/convert/cast.wgsl?raw';
import convertFoldBiasText from '../../shaders/convert/fold_bias.wgsl?raw';
import convertFoldWeightText from '../../shaders/convert/fold_weight.wgsl?raw';
import affineText from '../../shaders/lib/affine.wgsl?raw';
import affineChannelText from '../../shaders/lib/affine_channel.wgsl?raw';
import affineColumnScalarText from '../../shaders/lib/affine_column_scalar.wgsl?raw';
import affineColumnVec4Text from '../../shaders/lib/affine_column_vec4.wgsl?raw';
import affineRunText from '../../shaders/lib/affine_run.wgsl?raw';
import columnStatisticsText from '../../shaders/lib/column_statistics.wgsl?raw';
import columnsText from '../../shaders/lib/columns.wgsl?raw';
import dsumText from '../../shaders/lib/dsum.wgsl?raw';
import dsumNoneText from '../../shaders/lib/dsum_none.wgsl?raw';
import epilogueText from '../../shaders/lib/epilogue.wgsl?raw';
import epilogueResidualText from '../../shaders/lib/epilogue_residual.wgsl?raw';
import gradientSumsText from '../../shaders/lib/gradient_sums.wgsl?raw';
import gradientsPartialsText from '../../shaders/lib/gradients_partials.wgsl?raw';
import gradientsScalarText from '../../shaders/lib/gradients_scalar.wgsl?raw';
import gradientsVec4Text from '../../shaders/lib/gradients_vec4.wgsl?raw';
import inputResidualText from '../../shaders/lib/input_residual.wgsl?raw';
import inputXText from '../../shaders/lib/input_x.wgsl?raw';
import lanesText from '../../shaders/lib/lanes.wgsl?raw';
import meanSquareText from '../../shaders/lib/mean_square.wgsl?raw';
import momentsText from '../../shaders/lib/moments.wgsl?raw';
import moveTowardsText from '../../shaders/lib/move_towards.wgsl?raw';
import paramsText from '../../shaders/lib/params.wgsl?raw';
import reducePortableText from '../../shaders/lib/reduce_portable.wgsl?raw';
import reduceSerialText from '../../shaders/lib/reduce_serial.wgsl?raw';
import reduceSubgroupsText from '../../shaders/lib/reduce_subgroups.wgsl?raw';
import runningDeviationsText from '../../shaders/lib/running_deviations.wgsl?raw';
import runningInstancesText from '../../shaders/lib/running_instances.wgsl?raw';
import runningNoneText from '../../shaders/lib/running_none.wgsl?raw';
import runningUpdateText from '../../shaders/lib/running_update.wgsl?raw';
import runsChannelText from '../../shaders/lib/runs_channel.wgsl?raw';
import runsRowText from '../../shaders/lib/runs_row.wgsl?raw';
import savedMeanSquareText from '../../shaders/lib/saved_mean_square.wgsl?raw';
import savedMomentsText from '../../shaders/lib/saved_moments.wgsl?raw';
import savedPackedText from '../../shaders/lib/saved_packed.wgsl?raw';
import scanText from '../../shaders/lib/scan.wgsl?raw';
import shiftText from '../../shaders/lib/shift.wgsl?raw';
import shiftNoneText from '../../shaders/lib/shift_none.wgsl?raw';
import storageF16Text from '../../shaders/lib/storage_f16.wgsl?raw';
import storageF32Text from '../../shaders/lib/storage_f32.wgsl?raw';
import tensorsScalarText from '../../shaders/lib/tensors_scalar.wgsl?raw';
import tensorsVec4Text from '../../shaders/lib/tensors_vec4.wgsl?raw';
import upstreamText from '../../shaders/lib/upstream.wgsl?raw';
import upstreamActivationText from '../../shaders/lib/upstream_activation.wgsl?raw';
import upstreamResidualText from '../../shaders/lib/upstream_residual.wgsl?raw';
import wantedGradientsText from '../../shaders/lib/wanted_gradients.wgsl?raw';
import mergeCollectText from '../../shaders/merge/collect.wgsl?raw';
import mergeCountText from '../../shaders/merge/count.wgsl?raw';
import mergeFrozenText from '../../shaders/merge/frozen.wgsl?raw';
import mergeGradientsText from '../../shaders/merge/gradients.wgsl?raw';
import mergeInstancesText from '../../shaders/merge/instances.wgsl?raw';
import mergeJoinedText from '../../shaders/merge/joined.wgsl?raw';
import mergePackText from '../../shaders/merge/pack.wgsl?raw';
import mergeStatisticsText from '../../shaders/merge/statistics.wgsl?raw';
import mergeSumsText from '../../shaders/merge/sums.wgsl?raw';
import optimAdamwText from '../../shaders/optim/adamw.wgsl?raw';
import optimAverageText from '../../shaders/optim/average.wgsl?raw';
import optimCountText from '../../shaders/optim/count.wgsl?raw';
import optimSgdText from '../../shaders/optim/sgd.wgsl?raw';
import responseBackwardText from '../../shaders/response/backward.wgsl?raw';
import responseElementsText from '../../shaders/response/elements.wgsl?raw';
import responseForwardText from '../../shaders/response/forward.wgsl?raw';
import responseParamsText from '../../shaders/response/params.wgsl?raw';
import responsePowerText from '../../shaders/response/power.wgsl?raw';
import responseQuadsText from '../../shaders/response/quads.wgsl?raw';
import responseRatiosText from '../../shaders/response/ratios.wgsl?raw';
import responseWindowText from '../../shaders/response/window.wgsl?raw';
import rowsApplyText from '../../shaders/rows/apply.wgsl?raw';
import rowsBackwardApplyText from '../../shaders/rows/backward_apply.wgsl?raw';
import rowsBackwardChannelsText from '../../shaders/rows/backward_channels.wgsl?raw';
import rowsBackwardColumnsText from '../../shaders/rows/backward_columns.wgsl?raw';
import rowsBackwardSumsText from '../../shaders/rows/backward_sums.wgsl?raw';
import rowsBackwardTileText from '../../shaders/rows/backward_tile.wgsl?raw';
import rowsForwardStreamText from '../../shaders/rows/forward_stream.wgsl?raw';
import rowsForwardThreadText from '../../shaders/rows/forward_thread.wgsl?raw';
import rowsForwardTileText from '../../shaders/rows/forward_tile.wgsl?raw';
import rowsStatisticsText from '../../shaders/rows/statistics.wgsl?raw';

/** A file under shaders/. */
export interface ShaderSource {
  /** Its stem, for keys and labels: `rows/forward_tile`, `moments`. */
  name: string;
  text: string;
}

// Plain constants without side effects: a bundler drops those that a program does not reach.
export const activationsGelu: ShaderSource = { name: 'activations/gelu', text: activationsGeluText };
export const activationsHardswish: ShaderSource = {
  name: 'activations/hardswish',
  text: activationsHardswishText,
};
export const activationsLeakyRelu: ShaderSource = {
  name: 'activations/leaky_relu',
  text: activationsLeakyReluText,
};
export const activationsNone: ShaderSource = { name: 'activations/none', text: activationsNoneText };
export const activationsRelu: ShaderSource = { name: 'activations/relu', text: activationsReluText };
export const activationsRelu6: ShaderSource = { name: 'activations/relu6', text: activationsRelu6Text };
export const activationsSilu: ShaderSource = { name: 'activations/silu', text: activationsSiluText };
export const affine: ShaderSource = { name: 'affine', text: affineText };
export const affineChannel: ShaderSource = { name: 'affine_channel', text: affineChannelText };
export const affineColumnScalar: ShaderSource = {
  name: 'affine_column_scalar',
  text: affineColumnScalarText,
};
export const affineColumnVec4: ShaderSource = { name: 'affine_column_vec4', text: affineColumnVec4Text };
export const affineRun: ShaderSource = { name: 'affine_run', text: affineRunText };
export const channelsApply: ShaderSource = { name: 'channels/apply', text: channelsApplyText };
export const channelsBackwardApply: ShaderSource = {
  name: 'channels/backward_apply',
  text: channelsBackwardApplyText,
};
export const channelsBackwardSums: ShaderSource = {
  name: 'channels/backward_sums',
  text: channelsBackwardSumsText,
};
export const channelsStatistics: ShaderSource = { name: 'channels/statistics', text: channelsStatisticsText };
export const columnStatistics: ShaderSource = { name: 'column_statistics', text: columnStatisticsText };
export const columns: ShaderSource = { name: 'columns', text: columnsText };
export const convertCast: ShaderSource = { name: 'convert/cast', text: convertCastText };
export const convertFoldBias: ShaderSource = { name: 'convert/fold_bias', text: convertFoldBiasText };
export const convertFoldWeight: ShaderSource = { name: 'convert/fold_weight', text: convertFoldWeightText };
export const dsum: ShaderSource = { name: 'dsum', text: dsumText };
export const dsumNone: ShaderSource = { name: 'dsum_none', text: dsumNoneText };
export const epilogue: ShaderSource = { name: 'epilogue', text: epilogueText };
export const epilogueResidual: ShaderSource = { name: 'epilogue_residual', text: epilogueResidualText };
export const gradientSums: ShaderSource = { name: 'gradient_sums', text: gradientSumsText };
export const gradientsPartials: ShaderSource = { name: 'gradients_partials', text: gradientsPartialsText };
export const gradientsScalar: ShaderSource = { name: 'gradients_scalar', text: gradientsScalarText };
export const gradientsVec4: ShaderSource = { name: 'gradients_vec4', text: gradientsVec4Text };
export const inputResidual: ShaderSource = { name: 'input_residual', text: inputResidualText };
export const inputX: ShaderSource = { name: 'input_x', text: inputXText };
export const lanes: ShaderSource = { name: 'lanes', text: lanesText };
export const meanSquare: ShaderSource = { name: 'mean_square', text: meanSquareText };
export const mergeCollect: ShaderSource = { name: 'merge/collect', text: mergeCollectText };
export const mergeCount: ShaderSource = { name: 'merge/count', text: mergeCountText };
export const mergeFrozen: ShaderSource = { name: 'merge/frozen', text: mergeFrozenText };
export const mergeGradients: ShaderSource = { name: 'merge/gradients', text: mergeGradientsText };
export const mergeInstances: ShaderSource = { name: 'merge/instances', text: mergeInstancesText };
export const mergeJoined: ShaderSource = { name: 'merge/joined', text: mergeJoinedText };
export const mergePack: ShaderSource = { name: 'merge/pack', text: mergePackText };
export const mergeStatistics: ShaderSource = { name: 'merge/statistics', text: mergeStatisticsText };
export const mergeSums: ShaderSource = { name: 'merge/sums', text: mergeSumsText };
export const optimAdamw: ShaderSource = { name: 'optim/adamw', text: optimAdamwText };
export const optimAverage: ShaderSource = { name: 'optim/average', text: optimAverageText };
export const optimCount: ShaderSource = { name: 'optim/count', text: optimCountText };
export const optimSgd: ShaderSource = { name: 'optim/sgd', text: optimSgdText };
export const moments: ShaderSource = { name: 'moments', text: momentsText };
export const moveTowards: ShaderSource = { name: 'move_towards', text: moveTowardsText };
export const params: ShaderSource = { name: 'params', text: paramsText };
export const reducePortable: ShaderSource = { name: 'reduce_portable', text: reducePortableText };
export const reduceSerial: ShaderSource = { name: 'reduce_serial', text: reduceSerialText };
export const reduceSubgroups: ShaderSource = { name: 'reduce_subgroups', text: reduceSubgroupsText };
export const responseBackward: ShaderSource = { name: 'response/backward', text: responseBackwardText };
export const responseElements: ShaderSource = { name: 'response/elements', text: responseElementsText };
export const responseForward: ShaderSource = { name: 'response/forward', text: responseForwardText };
export const responseParams: ShaderSource = { name: 'response/params', text: responseParamsText };
export const responsePower: ShaderSource = { name: 'response/power', text: responsePowerText };
export const responseQuads: ShaderSource = { name: 'response/quads', text: responseQuadsText };
export const responseRatios: ShaderSource = { name: 'response/ratios', text: responseRatiosText };
export const responseWindow: ShaderSource = { name: 'response/window', text: responseWindowText };
export const rowsApply: ShaderSource = { name: 'rows/apply', text: rowsApplyText };
export const rowsBackwardApply: ShaderSource = { name: 'rows/backward_apply', text: rowsBackwardApplyText };
export const rowsBackwardChannels: ShaderSource = {
  name: 'rows/backward_channels',
  text: rowsBackwardChannelsText,
};
export const rowsBackwardColumns: ShaderSource = {
  name: 'rows/backward_columns',
  text: rowsBackwardColumnsText,
};
export const rowsBackwardSums: ShaderSource = { name: 'rows/backward_sums', text: rowsBackwardSumsText };
export const rowsBackwardTile: ShaderSource = { name: 'rows/backward_tile', text: rowsBackwardTileText };
export const rowsForwardStream: ShaderSource = { name: 'rows/forward_stream', text: rowsForwardStreamText };
export const rowsForwardThread: ShaderSource = { name: 'rows/forward_thread', text: rowsForwardThreadText };
export const rowsForwardTile: ShaderSource = { name: 'rows/forward_tile', text: rowsForwardTileText };
export const rowsStatistics: ShaderSource = { name: 'rows/statistics', text: rowsStatisticsText };
export const runningDeviations: ShaderSource = { name: 'running_deviations', text: runningDeviationsText };
export const runningInstances: ShaderSource = { name: 'running_instances', text: runningInstancesText };
export const runningNone: ShaderSource = { name: 'running_none', text: runningNoneText };
export const runningUpdate: ShaderSource = { name: 'running_update', text: runningUpdateText };
export const runsChannel: ShaderSource = { name: 'runs_channel', text: runsChannelText };
export const runsRow: ShaderSource = { name: 'runs_row', text: runsRowText };
export const savedMeanSquare: ShaderSource = { name: 'saved_mean_square', text: savedMeanSquareText };
export const savedMoments: ShaderSource = { name: 'saved_moments', text: savedMomentsText };
export const savedPacked: ShaderSource = { name: 'saved_packed', text: savedPackedText };
export const scan: ShaderSource = { name: 'scan', text: scanText };
export const shift: ShaderSource = { name: 'shift', text: shiftText };
export const shiftNone: ShaderSource = { name: 'shift_none', text: shiftNoneText };
export const storageF16: ShaderSource = { name: 'storage_f16', text: storageF16Text };
export const storageF32: ShaderSource = { name: 'storage_f32', text: storageF32Text };
export const tensorsScalar: ShaderSource = { name: 'tensors_scalar', text: tensorsScalarText };
export const tensorsVec4: ShaderSource = { name: 'tensors_vec4', text: tensorsVec4Text };
export const upstream: ShaderSource = { name: 'upstream', text: upstreamText };
export const upstreamActivation: ShaderSource = { name: 'upstream_activation', text: upstreamActivationText };
export const upstreamResidual: ShaderSource = { name: 'upstream_residual', text: upstreamResidualText };
export const wantedGradients: ShaderSource = { name: 'wanted_gradients', text: wantedGradientsText };
