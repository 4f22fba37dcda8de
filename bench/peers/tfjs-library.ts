/** The parts of TensorFlow.js that the bench runs: a bundle of its own, which only the page with peers loads. */
// First: registering asks for flags that it defines, and a bundler may cut the two apart.
import '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';

export { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
export * as tf from '@tensorflow/tfjs-core';
