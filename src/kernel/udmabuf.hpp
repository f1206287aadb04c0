// What /dev/udmabuf speaks, from <linux/udmabuf.h>.
#pragma once

#include <cstddef>

#include <linux/udmabuf.h>

namespace vcsm::kernel::udmabuf {

inline constexpr const char* node = "/dev/udmabuf";

inline constexpr unsigned long create = UDMABUF_CREATE;

static_assert(create == 0x40187542 && sizeof(udmabuf_create) == 24 && UDMABUF_FLAGS_CLOEXEC == 1);
static_assert(offsetof(udmabuf_create, memfd) == 0 && offsetof(udmabuf_create, flags) == 4);
static_assert(offsetof(udmabuf_create, offset) == 8 && offsetof(udmabuf_create, size) == 16);

} // namespace vcsm::kernel::udmabuf
