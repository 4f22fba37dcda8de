// What frameworks define differently.

/**
 * Where an RMSNorm rounds and what its weight means. They differ for f16 and bf16 only, but for gemma's weight:
 * - `torch`: f32 throughout, rounded once at the end (PyTorch, Transformer Engine).
 * - `llama`: x̂ is rounded to x's dtype before it meets weight (Hugging Face's LlamaRMSNorm).
 * - `gemma`: multiplies by 1 + weight, f32 throughout (Hugging Face's GemmaRMSNorm).
 */
export type RmsNormCast = 'torch' | 'llama' | 'gemma';

/**
 * What a running variance is an average of, with M2 = Σ(x − mean)² over the n elements of a channel: 'unbiased' is M2 / (n − 1), PyTorch's
 * (https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html); 'biased' is M2 / n, as in ONNX
 * (https://onnx.ai/onnx/operators/onnx__BatchNormalization.html), Keras (https://keras.io/api/layers/normalization_layers/batch_normalization/)
 * and Flax (https://flax.readthedocs.io/en/latest/api_reference/flax.linen/layers.html). Their momentum is 1 − momentum here.
 */
export type RunningVariance = 'unbiased' | 'biased';

/**
 * What eps does to the length of a vector that is divided by it: 'max' takes eps where the length is below it, max(‖x‖, eps), as
 * torch.nn.functional.normalize; 'add' adds it to the square, sqrt(‖x‖² + eps), as flash-linear-attention's l2norm.
 */
export type EpsMode = 'max' | 'add';
