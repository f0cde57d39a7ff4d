"""What holds for every test."""

import hypothesis

# How fast a loaded machine runs an example says nothing about the code.
hypothesis.settings.register_profile("fleetrender", deadline=None)
hypothesis.settings.load_profile("fleetrender")
