"""Training the built-in model or any OpenCLIP model further on one's own pictures with captions (extra ``clip``)."""
