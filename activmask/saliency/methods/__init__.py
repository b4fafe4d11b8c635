"""Methods of attribution: how much each pixel matters to a network's decision, one file each.

Everything that depends on which methods there are is derived from the table below. The arithmetic is
captum's, except for plain gradients, for HiResCAM, and for Grad-CAM, whose captum form knows feature maps
of one layout only; how the network computes while it is asked is `activmask.models.inference`'s.
"""

from activmask.saliency.methods.contrast import CONTRAST
from activmask.saliency.methods.gradcam import GRADCAM
from activmask.saliency.methods.hirescam import HIRESCAM
from activmask.saliency.methods.input_gradient import INPUT_GRADIENT
from activmask.saliency.methods.integrated_gradients import INTEGRATED_GRADIENTS
from activmask.saliency.methods.method import Method
from activmask.saliency.methods.occlusion import OCCLUSION
from activmask.saliency.methods.smoothgrad import SMOOTHGRAD

METHODS: dict[str, Method] = {
    "contrast": CONTRAST,
    "input-gradient": INPUT_GRADIENT,
    "integrated-gradients": INTEGRATED_GRADIENTS,
    "smoothgrad": SMOOTHGRAD,
    "gradcam": GRADCAM,
    "hirescam": HIRESCAM,
    "occlusion": OCCLUSION,
}
"""All methods by name."""

USUAL_METHOD = "contrast"
"""What is taken if nobody says."""
