"""The control API under `/_control` and the ground truth under `/_truth`: what the real providers do not have."""
