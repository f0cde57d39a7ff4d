"""Reads a project directory and compiles it: one self-contained document and its assets."""
