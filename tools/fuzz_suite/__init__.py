# SPDX-License-Identifier: Apache-2.0
"""Coverage-guided fuzzing of what reads an array's or a user's words.

``targets`` says what is fed and what must hold; it needs no fuzzer, so
that tests run all seeds through it.  ``worker`` is one atheris process,
``main`` the command line.
"""
