// Hands every file of the folders that it is given to a fuzz target, without a fuzzer: so that what a fuzzer found once
// is looked at by every compiler and sanitizer again.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int count, char** arguments) {
    unsigned inputs = 0;
    for (int i = 1; i < count; ++i) {
        for (const auto& entry : std::filesystem::directory_iterator{arguments[i]}) {
            std::ifstream file{entry.path(), std::ios::binary};
            const std::vector<char> bytes{std::istreambuf_iterator<char>{file}, {}};
            // A copy of exactly that size, so that AddressSanitizer sees a byte read too far.
            const std::vector<std::uint8_t> input(bytes.begin(), bytes.end());
            LLVMFuzzerTestOneInput(input.data(), input.size());
            ++inputs;
        }
    }
    std::printf("inputs: %u\n", inputs);
    return inputs > 0 ? 0 : 1; // a folder that is empty, or was moved, tests nothing
}
