"""The version of numexpr whose functions these are: what libraries ask before they use them."""

version = "2.14.2"
