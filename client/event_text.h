#ifndef GRADD_CLIENT_EVENT_TEXT_H_
#define GRADD_CLIENT_EVENT_TEXT_H_

#include <string>

#include "gradd/v1/training_service.pb.h"

namespace gradd {

// What a worker's log says of an event of its run; empty: nothing.
std::string EventText(const v1::RunEvent& event);

}  // namespace gradd

#endif  // GRADD_CLIENT_EVENT_TEXT_H_
