//! Reverse-mode autodiff over ndarray with coarse ops, flat parameter buffers and hand-written CPU kernels.
