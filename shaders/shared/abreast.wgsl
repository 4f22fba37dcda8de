// abreast
// How many loads a thread has under way at a time, where it walks over many: all of them stand before the arithmetic on the
// first. A GPU waits for one load about as long as for several. A software adapter does not wait: there a kernel walks
// one by one.
override ABREAST: bool = false;
override AT_ONCE: u32 = 4u;
