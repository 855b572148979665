"""What ``airseed serve`` answers: a registry and files straight out of bundles.

Everything here maps a request to a response; ``server`` speaks HTTP.
"""
