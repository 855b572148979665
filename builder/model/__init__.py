"""The vocabulary: frozen values without I/O, on the standard library alone.

Every string that means something (a digest, a reference, a NEVRA) becomes one of these types at
the door and stays one. Plain constructors do not check; the ``parse`` class methods do, and raise
:class:`ValueError` with a sentence that a reader can put a path in front of.
"""
