"""The bundle: its layout as a pure function of the lock, its writer and its reader."""
