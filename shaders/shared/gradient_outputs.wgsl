// gradient_outputs
// Which of dweight and dbias anyone wants.
override WANTS_WEIGHT: bool = true;
override WANTS_BIAS: bool = true;
// Whether they add to what the gradients hold, before the rounding.
override ACCUMULATE_WEIGHT: bool = false;
override ACCUMULATE_BIAS: bool = false;
