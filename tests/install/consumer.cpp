// A stranger's program: knows the installed headers and nothing else. Ends with 0 if VideoCore memory works for it.
#include <array>
#include <cstddef>
#include <cstdio>

#include <vcsm/vcsm.hpp>

int main() {
    std::array<unsigned char, 1000> sent{};
    for (std::size_t i = 0; i < sent.size(); ++i) {
        sent[i] = static_cast<unsigned char>(i * 7);
    }
    vcsm::shared_memory block{sent.size(), "stranger"};
    block.copy_from(sent);
    std::array<unsigned char, 1000> back{};
    block.copy_to(back);
    if (back != sent || block.videocore_handle() == 0) {
        std::fputs("the block does not hold what was copied into it\n", stderr);
        return 1;
    }
    std::printf("%zu bytes under VideoCore handle %u\n", block.size(), static_cast<unsigned>(block.videocore_handle()));
}
