"""Small pictures of a task, fast: cameras, painted ground, and the OpenGL that draws them."""
