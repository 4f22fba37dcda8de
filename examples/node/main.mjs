import { BatchNorm1d, init } from 'webgpu-norm/node';

const gpu = await init();
const norm = new BatchNorm1d(gpu, 4);
const y = norm.forward(gpu.tensor([1, 2, 3, 4, 10, 20, 30, 40], [2, 4]));
console.log(JSON.stringify([...(await y.data())]));
console.log(JSON.stringify([...((await norm.runningMean?.data()) ?? [])]));
gpu.destroy();
process.exit(); // Dawn's threads would keep Node alive
