"""What users do, as tests that run in Slicer's self-test harness and under pytest alike."""


class Journeys:
    """Mixed into the module's ScriptedLoadableModuleTest."""
