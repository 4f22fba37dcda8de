// in_place
// In place: an input is the tensor that an output is written to. WebGPU lets a dispatch bind a buffer for writing once, and not
// beside that for reading, so that it is read through the binding that it is written by.
override X_IS_Y: bool = false;
override X_IS_SUM: bool = false;
override RESIDUAL_IS_Y: bool = false;
override RESIDUAL_IS_SUM: bool = false;
override X_IS_DX: bool = false;
override DY_IS_DX: bool = false;
override DSUM_IS_DX: bool = false;
