// SPDX-License-Identifier: Apache-2.0
#include "bindings.h"

void bind_delaunay(nb::module_&) {}
