"""The version of numexpr whose functions these are: what libraries ask before they use them."""

import platform

import numpy

version = "2.14.2"
__version__ = version
numpy_build_version = numpy.__version__
platform_machine = platform.machine()
