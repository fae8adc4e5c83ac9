// All charts of an evaluation.

import "./threshold.js";
import "./precision-recall.js";
import "./roc.js";
import "./histogram.js";
import "./confusion.js";
import "./calibration.js";
