"""The acceptance run: a guided, recorded purchase with a real card, over HTTP only, before the shop opens."""
