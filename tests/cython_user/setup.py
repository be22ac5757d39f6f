"""Compiles user.pyx against whatever arrayexpr is installed: its .pxd files are all it takes."""

from Cython.Build import cythonize
from setuptools import Extension, setup

setup(name="user", ext_modules=cythonize([Extension("user", ["user.pyx"])]))
