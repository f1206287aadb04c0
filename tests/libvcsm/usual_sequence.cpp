// The same program, taken as C++.
#include "programs/usual_sequence.c" // NOLINT(bugprone-suspicious-include): that is the point
