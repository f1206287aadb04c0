// One run of a scenario with one fault in it, and what must hold during and after it.
#pragma once

#include "faults/failing_calls.hpp"
#include "faults/failing_new.hpp"
#include "videocore/faults.hpp"

#include <array>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace faults {

/// What fails.
struct fault {
    enum class kind { none, system_call, operator_new, videocore };
    kind what = kind::none;
    std::uint64_t number = 0; ///< which one, from 1
    call at = call::open;     ///< for system_call
    failing how;
    vcsm::videocore::operation asked = vcsm::videocore::operation::alloc; ///< for videocore
    [[nodiscard]] std::string text() const;
};

/// The machine that a scenario runs on.
class board {
  public:
    board() = default;
    board(const board&) = delete;
    board& operator=(const board&) = delete;
    virtual ~board() = default;
    /// The calls below the failing ones.
    virtual vcsm::kernel::calls& kernel() { return own_; }
    /// What its drivers still hold, or say that would have crashed a kernel; empty where all is well.
    virtual std::string complaint(const fault&) { return {}; }
    /// Whether blocks come from the simulated VideoCore, whose room is looked at in the end.
    [[nodiscard]] virtual bool simulated() const { return true; }

  private:
    vcsm::kernel::calls own_;
};

class trial {
  public:
    trial(const fault& wanted, failing_calls& calls);
    trial(const trial&) = delete;
    trial& operator=(const trial&) = delete;
    ~trial();

    /// Runs `step` with the fault armed. False where it threw; it is then judged whether it may have thrown that.
    template <class Step>
    bool act(std::string_view what, Step&& step) {
        bool done = false;
        std::exception_ptr thrown;
        begin();
        try {
            const news_watched watched{fault_.what == fault::kind::operator_new ? fault_.number : 0, news_};
            calls_.arm(true);
            try {
                std::forward<Step>(step)();
                done = true;
            } catch (...) {
                thrown = std::current_exception();
            }
            calls_.arm(false);
            news_ = news_watched::counted();
            new_failed_ = news_watched::failed();
        } catch (...) {
            calls_.arm(false);
            throw;
        }
        end();
        if (!done) {
            judge(what, thrown);
        }
        return done;
    }

    /// The same for C's functions: `step()` gives 0, or the errno that it failed with, which may also be `or_with`. No
    /// exception may leave it.
    template <class Step>
    bool ask(std::string_view what, Step&& step, int or_with = 0) {
        int failed_with = 0;
        const bool returned = act(what, [&] { failed_with = std::forward<Step>(step)(); });
        if (returned && failed_with != 0) {
            judge_errno(what, failed_with, or_with);
        }
        return returned && failed_with == 0;
    }

    /// What must hold, whatever failed.
    void expect(bool held, std::string_view promise) {
        if (!held) {
            complain(promise);
        }
    }
    void complain(std::string_view what);

    /// In the child of a fork made within act(), before its _exit(): its calls count, too.
    void child_ends();

    /// Whether the fault has come.
    [[nodiscard]] bool struck() const;
    [[nodiscard]] const fault& planned() const noexcept { return fault_; }
    [[nodiscard]] std::uint64_t news() const noexcept;
    [[nodiscard]] std::vector<call> calls() const;
    [[nodiscard]] const std::vector<std::string>& complaints() const noexcept { return complaints_; }
    /// For each operation of VideoCore, which tries of it were made while armed.
    using tries = std::array<std::vector<std::uint64_t>, vcsm::videocore::operation_count>;
    [[nodiscard]] const tries& tried() const noexcept { return tried_; }

  private:
    void begin();
    void end();
    void judge(std::string_view what, const std::exception_ptr& thrown);
    void judge_errno(std::string_view what, int failed_with, int or_with);
    [[nodiscard]] bool was_to_be_repeated() const;

    struct childs_count {
        bool struck;
        std::uint64_t news;
        std::size_t calls;
        std::array<call, 1000> made;
    };

    fault fault_;
    failing_calls& calls_;
    childs_count* child_; // in memory that a child shares
    std::uint64_t news_ = 0;
    bool new_failed_ = false;
    std::uint64_t given_ = 0;
    std::array<std::uint64_t, vcsm::videocore::operation_count> before_{};
    tries tried_{};
    std::vector<std::string> complaints_;
};

/// What people do with the library.
struct scenario {
    std::string name;
    std::function<std::unique_ptr<board>()> on;
    std::function<void(trial&)> run;
};

/// What all faults of one scenario came to.
struct outcome {
    std::uint64_t injected = 0;
    std::uint64_t leaked = 0;
    std::uint64_t stuck = 0;
    std::uint64_t crashed = 0;
    std::uint64_t broken = 0; ///< other promises
    std::string report;       ///< a line for each
    outcome& operator+=(const outcome& other);
};

/// Runs it without a fault, then once with each. In processes of their own: one that crashes or hangs is counted, and
/// the next goes on behind it.
[[nodiscard]] outcome run_with_every_fault(const scenario& which);

} // namespace faults
