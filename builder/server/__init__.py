"""A small HTTP/1.1 server on threads: messages, ranges, connections and listeners.

It sends files by the kernel's sendfile and knows nothing of what it serves.
"""
