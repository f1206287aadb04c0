// The C library, called in any order with any arguments: nothing may crash, every result is one that is documented, and
// in the end nothing is left.
#include "kernel/syscalls.hpp"

#include <vcsm/vcsm.hpp>

#include <interface/vcsm/user-vcsm.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <unistd.h>

namespace {

void require(bool held) {
    if (!held) {
        std::abort();
    }
}

/// The input, as numbers; zeros behind its end.
class numbers {
  public:
    numbers(const std::uint8_t* data, std::size_t size) : data_{data}, left_{size} {}
    bool any() const { return left_ > 0; }
    std::uint8_t byte() {
        if (left_ == 0) {
            return 0;
        }
        --left_;
        return *data_++;
    }
    std::uint32_t word() {
        std::uint32_t value = 0;
        for (int i = 0; i < 4; ++i) {
            value = value << 8U | byte();
        }
        return value;
    }
    /// Mostly small, sometimes anything.
    std::uint32_t size() {
        const std::uint8_t how = byte();
        return how < 250 ? how * 64U : word();
    }

  private:
    const std::uint8_t* data_;
    std::size_t left_;
};

class program {
  public:
    explicit program(numbers input) : input_{input} {}

    void run() {
        started_ = vcsm_init() == 0 ? 1 : 0;
        require(started_ == 1);
        for (int calls = 0; input_.any() && calls < 200; ++calls) {
            call(input_.byte() % 24);
        }
        for (; started_ > 0; --started_) {
            vcsm_exit();
        }
        vcsm_exit();
        require(!vcsm::service_running() && vcsm::blocks().empty() && vcsm::videocore::list().empty());
    }

  private:
    unsigned handle() {
        const std::uint8_t which = input_.byte();
        return which >= 240 || handles_.empty() ? input_.word() : handles_[which % handles_.size()];
    }
    void* address() {
        auto* const start = static_cast<char*>(vcsm_usr_address(handle()));
        const std::uint8_t how = input_.byte();
        if (how >= 250) {
            return reinterpret_cast<void*>(static_cast<std::uintptr_t>(input_.word()));
        }
        return start == nullptr ? nullptr : start + std::ptrdiff_t{how} * 40;
    }
    VCSM_CACHE_TYPE_T mode() {
        // Any number may come in a C program's enum; copied, because C++ has no such value.
        const std::uint32_t number = input_.byte() % 8 < 7 ? input_.byte() % 4U : input_.word();
        VCSM_CACHE_TYPE_T as_enum{};
        std::memcpy(&as_enum, &number, sizeof as_enum);
        return as_enum;
    }
    void made(unsigned new_handle) {
        require(new_handle != 0 || errno != 0);
        if (new_handle != 0) {
            require(vcsm_usr_address(new_handle) != nullptr);
            handles_.push_back(new_handle);
        }
    }
    static void refused_or_done(int result) { require(result == 0 || (result < 0 && errno == -result)); }
    /// An address that was given by a lock may be written to until the next call.
    void locked(unsigned of, void* memory) {
        if (memory != nullptr) {
            require(vcsm_usr_address(of) == memory && vcsm_usr_handle(memory) != 0);
            *static_cast<std::uint8_t*>(memory) = input_.byte();
        }
    }

    void call(unsigned which) {
        errno = 0;
        switch (which) {
        case 0:
            started_ += vcsm_init() == 0 ? 1 : 0;
            break;
        case 1:
            started_ += vcsm_init_ex(input_.byte(), input_.byte() % 2 == 0 ? -1 : 200 + input_.byte()) == 0 ? 1 : 0;
            break;
        case 2:
            vcsm_exit();
            started_ -= started_ > 0 ? 1 : 0;
            break;
        case 3:
            made(vcsm_malloc(input_.size(), name()));
            break;
        case 4:
        case 5:
            made(vcsm_malloc_cache(input_.size(), mode(), name()));
            break;
        case 6:
            made(vcsm_malloc_share(handle()));
            break;
        case 7:
            refused_or_done(vcsm_resize(handle(), input_.size()));
            break;
        case 8:
            vcsm_free(handle());
            break;
        case 9:
            (void)vcsm_vc_hdl_from_ptr(address());
            break;
        case 10:
            (void)vcsm_vc_hdl_from_hdl(handle());
            break;
        case 11:
            (void)vcsm_vc_addr_from_hdl(handle());
            break;
        case 12:
            (void)vcsm_usr_handle(address());
            break;
        case 13:
        case 14: {
            const unsigned of = handle();
            locked(of, vcsm_lock(of));
            break;
        }
        case 15: {
            const unsigned of = handle();
            VCSM_CACHE_TYPE_T got{};
            locked(of, vcsm_lock_cache(of, mode(), input_.byte() % 2 == 0 ? &got : nullptr));
            require(static_cast<unsigned>(got) <= 3);
            break;
        }
        case 16:
            refused_or_done(vcsm_unlock_ptr(address()));
            break;
        case 17:
            refused_or_done(vcsm_unlock_hdl(handle()));
            break;
        case 18:
            refused_or_done(vcsm_unlock_ptr_sp(address(), input_.byte() % 2));
            break;
        case 19:
            refused_or_done(vcsm_unlock_hdl_sp(handle(), input_.byte() % 2));
            break;
        case 20:
            clean_invalid();
            break;
        case 21:
            clean_invalid2();
            break;
        case 22:
            made(vcsm_import_dmabuf(exported_ >= 0 && input_.byte() < 200 ? exported_ : 200 + input_.byte(), name()));
            break;
        case 23: {
            const int descriptor = vcsm_export_dmabuf(handle());
            if (descriptor >= 0) {
                kept_.reset(descriptor);
                exported_ = descriptor;
            }
            break;
        }
        default:
            break;
        }
    }

    const char* name() {
        const std::uint8_t length = input_.byte();
        if (length == 255) {
            return nullptr;
        }
        name_.assign(length % 64, static_cast<char>(input_.byte()));
        return name_.c_str();
    }

    void clean_invalid() {
        vcsm_user_clean_invalid_s list{};
        for (auto& entry : list.s) {
            entry.cmd = input_.byte() % 8 == 7 ? input_.word() : input_.byte() % 4;
            entry.handle = handle();
            entry.addr = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(address()));
            entry.size = input_.size();
        }
        refused_or_done(vcsm_clean_invalid(input_.byte() == 0 ? nullptr : &list));
    }

    void clean_invalid2() {
        using entry = vcsm_user_clean_invalid2_s::vcsm_user_clean_invalid2_block_s;
        const std::uint8_t count = input_.byte();
        // Of exactly the size that is told, so that AddressSanitizer sees an entry read too far.
        std::vector<std::uint64_t> memory((sizeof(vcsm_user_clean_invalid2_s) + count * sizeof(entry)) / 8 + 1);
        auto* const list = reinterpret_cast<vcsm_user_clean_invalid2_s*>(memory.data());
        list->op_count = count;
        for (unsigned i = 0; i < count && input_.any(); ++i) {
            entry filled{};
            filled.invalidate_mode = input_.byte() % 5;
            filled.block_count = input_.byte() < 250 ? input_.byte() : static_cast<std::uint16_t>(input_.word());
            filled.start_address = address();
            filled.block_size = input_.size();
            filled.inter_block_stride = input_.size();
            std::memcpy(&list->s[i], &filled, sizeof filled);
        }
        refused_or_done(vcsm_clean_invalid2(list));
    }

    numbers input_;
    std::vector<unsigned> handles_;
    std::string name_;
    int started_ = 0;
    int exported_ = -1;
    vcsm::kernel::unique_fd kept_;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const bool simulated = [] {
        ::setenv("VCSM_SIM_MEMORY", "4M", 1);
        vcsm::use("simulated");
        vcsm::stop_service();
        return true;
    }();
    require(simulated);
    program{numbers{data, size}}.run();
    return 0;
}
