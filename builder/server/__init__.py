"""A small HTTP/1.1 server on threads: messages, ranges, connections and listeners.

A site maps a request to a response: status, headers, and as its body bytes, a file's part or a
stream. The server does the rest: it sends files by the kernel's sendfile, answers conditions and
ranges, and lets go of who is slow, greedy, or could be read in two ways. Threads, not a loop: a
thousand that wait take some 40 MB, and a slow reader keeps nobody but its own thread.
"""
