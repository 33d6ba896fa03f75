"""The bundled recipes (YAML data)."""
