"""Starts Veza on a bare machine: `python3 -m dev demo` and `python3 -m dev test`.

Standard library only: it runs before anything is installed, and builds the environment that the rest needs.
"""
