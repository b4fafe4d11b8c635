"""What is true of the paper's synthetic benchmark."""

from activmask.data.source import DataSource, PresetValues

SYNTHETIC = DataSource(
    command="make-synthetic",
    images="the synthetic benchmark",
    presets={"synthetic": PresetValues(settings={}, convnet_width=16, recon_weight=10.0, figure="figure-3")},
)
