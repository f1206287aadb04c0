// A block as the buffer of a camera: the kernel's own test camera, vivid, writes a frame straight into it, and the
// library reads the picture.
#include "dma_buf_kinds.hpp"

#include <vcsm/vcsm.hpp>

#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include <linux/videodev2.h>
#include <poll.h>

using namespace vcsm_vm;

namespace {

constexpr unsigned width = 640;
constexpr unsigned height = 480;
constexpr unsigned bytes_a_line = 2 * width; // YUYV: two pixels in four bytes
constexpr std::size_t frame_bytes = std::size_t{bytes_a_line} * height;

/// One of the eight bars of the test picture, at three quarters of full brightness.
struct bar {
    const char* name;
    int red, green, blue; // 0 or 191 of 255
};
constexpr std::array<bar, 8> bars{{{"white", 191, 191, 191},
                                   {"yellow", 191, 191, 0},
                                   {"cyan", 0, 191, 191},
                                   {"green", 0, 191, 0},
                                   {"magenta", 191, 0, 191},
                                   {"red", 191, 0, 0},
                                   {"blue", 0, 0, 191},
                                   {"black", 0, 0, 0}}};

/// Its luma and two colour differences by ITU-R BT.601, which is what YUYV of this size means: luma 16 to 235,
/// colour differences 16 to 240 around 128.
std::array<int, 3> yuv_of(const bar& one) {
    const double red = one.red / 255.0;
    const double green = one.green / 255.0;
    const double blue = one.blue / 255.0;
    const double luma = 0.299 * red + 0.587 * green + 0.114 * blue;
    return {static_cast<int>(std::lround(16 + 219 * luma)),
            static_cast<int>(std::lround(128 + 224 * (blue - luma) / 1.772)),
            static_cast<int>(std::lround(128 + 224 * (red - luma) / 1.402))};
}

/// The camera, streaming into dma-bufs.
class camera {
  public:
    explicit camera(const std::vector<int>& buffers) : node_{::open("/dev/video0", O_RDWR | O_CLOEXEC | O_NONBLOCK)} {
        struct v4l2_format format {};
        format.type = type;
        format.fmt.pix.width = width;
        format.fmt.pix.height = height;
        format.fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;
        format.fmt.pix.field = V4L2_FIELD_NONE;
        EXPECT_EQ(answer_of(node_.get(), VIDIOC_S_FMT, &format), 0);
        EXPECT_EQ(format.fmt.pix.width, width);
        EXPECT_EQ(format.fmt.pix.height, height);
        EXPECT_EQ(format.fmt.pix.bytesperline, bytes_a_line);
        EXPECT_EQ(format.fmt.pix.sizeimage, frame_bytes);
        struct v4l2_requestbuffers request {};
        request.count = static_cast<unsigned>(buffers.size());
        request.type = type;
        request.memory = V4L2_MEMORY_DMABUF;
        EXPECT_EQ(answer_of(node_.get(), VIDIOC_REQBUFS, &request), 0);
        // It may want more than it was offered; those it does without.
        EXPECT_GE(request.count, buffers.size());
        for (std::size_t index = 0; index < buffers.size(); ++index) {
            EXPECT_EQ(give(static_cast<unsigned>(index), buffers[index]), 0);
        }
        int kind = type;
        EXPECT_EQ(answer_of(node_.get(), VIDIOC_STREAMON, &kind), 0);
    }
    camera(const camera&) = delete;
    camera& operator=(const camera&) = delete;
    ~camera() {
        int kind = type;
        EXPECT_EQ(answer_of(node_.get(), VIDIOC_STREAMOFF, &kind), 0);
        struct v4l2_requestbuffers none {};
        none.type = type;
        none.memory = V4L2_MEMORY_DMABUF;
        EXPECT_EQ(answer_of(node_.get(), VIDIOC_REQBUFS, &none), 0);
    }

    /// Hands it a buffer; 0 or the errno.
    [[nodiscard]] int give(unsigned index, int descriptor_of_buffer) const {
        struct v4l2_buffer buffer = any_buffer();
        buffer.index = index;
        buffer.m.fd = descriptor_of_buffer;
        return answer_of(node_.get(), VIDIOC_QBUF, &buffer);
    }
    /// Waits for the next frame; the index of its buffer, -1 for none.
    [[nodiscard]] int frame() const {
        struct pollfd readable {
            node_.get(), POLLIN, 0
        };
        if (::poll(&readable, 1, 20000) != 1) {
            return -1;
        }
        struct v4l2_buffer buffer = any_buffer();
        if (answer_of(node_.get(), VIDIOC_DQBUF, &buffer) != 0) {
            return -1;
        }
        EXPECT_EQ(buffer.bytesused, frame_bytes);
        EXPECT_EQ(buffer.flags & V4L2_BUF_FLAG_ERROR, 0U);
        return static_cast<int>(buffer.index);
    }

  private:
    static constexpr int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    static struct v4l2_buffer any_buffer() {
        struct v4l2_buffer buffer {};
        buffer.type = type;
        buffer.memory = V4L2_MEMORY_DMABUF;
        return buffer;
    }
    descriptor node_;
};

class camera_into : public testing::TestWithParam<kind> {
  protected:
    camera_into() { vcsm::use(std::string{GetParam().name} == "udmabuf" ? "udmabuf" : "dma-heap:system"); }
    ~camera_into() override { vcsm::stop_service(); }

    static vcsm::shared_memory filled(const char* name) {
        vcsm::shared_memory block{frame_bytes, name};
        block.copy_from(std::vector<unsigned char>(frame_bytes, 0xaa));
        return block;
    }
};

TEST_P(camera_into, a_block_shows_its_colour_bars) {
    // The camera wants two buffers, and fills the first first.
    const vcsm::shared_memory block = filled("frame");
    const vcsm::shared_memory next = filled("next");
    std::vector<unsigned char> picture(frame_bytes);
    {
        const camera source{{block.dmabuf(), next.dmabuf()}};
        ASSERT_EQ(source.frame(), 0);
        block.copy_to(picture);
    }
    // The camera writes its clock and settings over the upper part of the picture.
    for (const unsigned line : {height - 20, height - 1}) {
        for (std::size_t number = 0; number < bars.size(); ++number) {
            const std::size_t middle = number * (width / bars.size()) + width / bars.size() / 2;
            const unsigned char* const pair = &picture[std::size_t{line} * bytes_a_line + middle / 2 * 4];
            const std::array<int, 3> expected = yuv_of(bars[number]);
            EXPECT_NEAR(pair[0], expected[0], 3) << bars[number].name << " in line " << line;
            EXPECT_NEAR(pair[1], expected[1], 3) << bars[number].name << " in line " << line;
            EXPECT_NEAR(pair[2], expected[0], 3) << bars[number].name << " in line " << line;
            EXPECT_NEAR(pair[3], expected[2], 3) << bars[number].name << " in line " << line;
        }
    }
}

TEST_P(camera_into, blocks_that_take_turns_sees_each_new_frame) {
    const std::array<vcsm::shared_memory, 2> blocks{filled("even"), filled("odd")};
    const camera source{{blocks[0].dmabuf(), blocks[1].dmabuf()}};
    std::vector<unsigned char> before(frame_bytes, 0xaa);
    for (int number = 0; number < 6; ++number) {
        const int index = source.frame();
        ASSERT_GE(index, 0) << "frame " << number;
        const vcsm::shared_memory& block = blocks.at(static_cast<std::size_t>(index));
        std::vector<unsigned char> picture(frame_bytes);
        block.copy_to(picture);
        EXPECT_NE(picture, before) << "the clock in the picture goes on";
        before = std::move(picture);
        // While it has both again it may write at any time: a lock of a block that it is using must work all the same.
        ASSERT_EQ(source.give(static_cast<unsigned>(index), block.dmabuf()), 0);
        EXPECT_TRUE(block.lock(vcsm::access::read));
    }
}

TEST_P(camera_into, a_block_that_was_freed_is_the_cameras_until_it_lets_go) {
    const int before = dma_bufs_alive();
    vcsm::shared_memory block = filled("short-lived");
    vcsm::shared_memory next = filled("short-lived too");
    {
        const camera source{{block.dmabuf(), next.dmabuf()}};
        block.close();
        next.close();
        EXPECT_EQ(dma_bufs_alive(), before + 2);
        EXPECT_EQ(source.frame(), 0) << "it has where to write";
    }
    EXPECT_EQ(dma_bufs_alive(), before);
}

INSTANTIATE_TEST_SUITE_P(kernel, camera_into, testing::ValuesIn(kinds()),
                         [](const testing::TestParamInfo<kind>& one) { return std::string{one.param.name}; });

} // namespace
