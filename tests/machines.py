"""Draft."""


def forgotten_rows():
    return []
