"""A stand-in for the package that Colab's kernels have, as far as the course and its readers use it."""
