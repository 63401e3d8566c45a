// SPDX-License-Identifier: Apache-2.0
// A photo's pixel on a background.
#pragma once
#include "vec.h"

namespace milo {

// byte: of a channel, black where masked; mask: 255 = object; background: of the channel.
MILO_HD float composited(unsigned char byte, unsigned char mask, float background) {
    return clamped(float(byte) / 255.0f + background * (1.0f - float(mask) / 255.0f), 0.0f, 1.0f);
}

}  // namespace milo
