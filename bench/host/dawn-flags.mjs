/** Timestamps as fine as the device has them: Dawn coarsens them by default, as a browser must. */
export const dawnFlags = ['disable-dawn-features=timestamp_quantization'];
