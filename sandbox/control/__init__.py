"""The control API under `/_control` and the ground truth under `/_truth`: what no provider has."""
