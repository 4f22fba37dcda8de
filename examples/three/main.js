// three.js makes values in a compute pass, layerNorm normalizes them where they lie, and a material shows them as grey tiles.
import { cos, Fn, float, instancedArray, instanceIndex, mod, positionLocal, vec3 } from 'three/tsl';
import * as THREE from 'three/webgpu';
import { init, layerNorm } from 'webgpu-norm';

const [rows, columns] = [8, 8];
const canvas = document.querySelector('canvas');
const renderer = new THREE.WebGPURenderer({ canvas });
renderer.outputColorSpace = THREE.LinearSRGBColorSpace; // so that a pixel is what the material says
renderer.setSize(canvas.width, canvas.height, false);
await renderer.init();

// The renderer owns the device; our context borrows it.
const { backend } = renderer;
const gpu = await init({ device: backend.device });

// One number for each tile: 100 + 3 cos(i) to be normalized, and room for the result.
const x = instancedArray(rows * columns, 'float');
const y = instancedArray(rows * columns, 'float');
const fill = Fn(() => x.element(instanceIndex).assign(cos(float(instanceIndex)).mul(3).add(100)));
renderer.compute(fill().compute(rows * columns)); // makes the GPUBuffer of x, too
backend.createStorageAttribute(y.value); // no pass has used y yet

// Both tensors are views of the renderer's buffers: nothing is copied. Each row of tiles is normalized by itself.
const tensorOf = ({ value }) => gpu.wrap(backend.get(value).buffer, [rows, columns]);
layerNorm(gpu, tensorOf(x), { normalizedShape: columns, out: { y: tensorOf(y) } });

// A tile per number, the first at the bottom left, its grey ½ + y / 6.
const material = new THREE.MeshBasicNodeMaterial();
const column = mod(float(instanceIndex), columns);
const row = float(instanceIndex).div(columns).floor();
material.positionNode = positionLocal.add(vec3(column, row, 0).add(0.5));
material.colorNode = vec3(y.element(instanceIndex).div(6).add(0.5));
const tiles = new THREE.Mesh(new THREE.PlaneGeometry(1, 1), material);
tiles.count = rows * columns;
tiles.frustumCulled = false;
const scene = new THREE.Scene().add(tiles);
const camera = new THREE.OrthographicCamera(0, columns, rows, 0, -1, 1);
renderer.render(scene, camera);

// What three.js reads back of both buffers, and what the canvas has at the middle of each tile; the page shows all three.
const picture = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
picture.drawImage(canvas, 0, 0);
const { data } = picture.getImageData(0, 0, canvas.width, canvas.height);
const size = canvas.width / columns;
const middle = (i) => {
  const [column, row] = [i % columns, Math.floor(i / columns)];
  return 4 * (canvas.width * (canvas.height - size * (row + 0.5)) + size * (column + 0.5));
};
const greys = Array.from({ length: rows * columns }, (_, i) => data[middle(i)]);
const read = async ({ value }) => [...new Float32Array(await renderer.getArrayBufferAsync(value))];
const shown = { x: await read(x), y: await read(y), greys };
document.querySelector('output').textContent = JSON.stringify(shown);
