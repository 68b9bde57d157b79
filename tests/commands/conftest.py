"""A project with both models, as the workflow leaves it, but tiny and untrained."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import yaml

from dogs_vs_cats.models import Description, write_model
from dogs_vs_cats.settings import CnnSettings, HeadSettings
from dogs_vs_cats.weights import write_weights
from tests.conftest import ROOT, changed
from tests.vgg16 import random_tensors

SIZE = 32
CLASSES = ("cats", "dogs")
