"""The frozen dataclasses that flow between stages: columnar, one row per face unless said."""

from vidfer.types.clip import ClipResult as ClipResult
from vidfer.types.emotions import EmotionSegment as EmotionSegment
from vidfer.types.emotions import EmotionTimeline as EmotionTimeline
from vidfer.types.faces import NUM_LANDMARKS as NUM_LANDMARKS
from vidfer.types.faces import FaceBoxes as FaceBoxes
from vidfer.types.faces import FaceDetections as FaceDetections
from vidfer.types.faces import FaceEmbeddings as FaceEmbeddings
from vidfer.types.faces import FacePeople as FacePeople
from vidfer.types.faces import FaceTracks as FaceTracks
from vidfer.types.movements import Blink as Blink
from vidfer.types.movements import ClipMovements as ClipMovements
from vidfer.types.roster import Person as Person
from vidfer.types.roster import Roster as Roster
from vidfer.types.stored import StoredArray as StoredArray
from vidfer.types.video import DecodeReport as DecodeReport
from vidfer.types.video import FrameBatch as FrameBatch
from vidfer.types.video import SampledFrames as SampledFrames
from vidfer.types.video import VideoInfo as VideoInfo
