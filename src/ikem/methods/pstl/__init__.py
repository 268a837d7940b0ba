"""PSTL."""
