"""Tests of pairs: does a double perturbation do what its two singles say it should."""
