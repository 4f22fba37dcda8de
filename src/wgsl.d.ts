declare module '*.wgsl' {
  const module: import('./shaders/module.ts').ShaderModule;
  export default module;
}

declare module '*.wgsl?raw' {
  const source: string;
  export default source;
}
