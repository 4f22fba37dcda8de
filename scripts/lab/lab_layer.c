// A Vulkan layer that asks the driver what it made of each compute pipeline (VK_KHR_pipeline_executable_properties) and writes that
// down as JSON. All other calls pass through untouched: a device without this layer compiles the same code.
//   LAB_FILE   where the next pipeline is described; the program sets it before it makes one. Without it nothing is written.
#define _GNU_SOURCE  // strcasestr
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vulkan.h>
#include <vulkan/vk_layer.h>

// One instance and one device at a time are looked at, which is what the lab's program has. Dawn makes a second device only after
// it has lost the first.
static PFN_vkGetInstanceProcAddr next_instance_proc;
static PFN_vkGetDeviceProcAddr next_device_proc;
static VkInstance the_instance;
static VkDevice the_device;
static int can_tell;  // whether the driver has the extension

#define OF_DEVICE(name) ((PFN_##name)next_device_proc(the_device, #name))

// The loader hands every layer its place in the chain by a structure behind pNext.
static void *link_of(const void *info, VkStructureType type) {
  VkLayerInstanceCreateInfo *at = (void *)((const VkBaseInStructure *)info)->pNext;
  while (at && !(at->sType == type && at->function == VK_LAYER_LINK_INFO)) at = (void *)at->pNext;
  return at;
}

static VKAPI_ATTR VkResult VKAPI_CALL lab_CreateInstance(const VkInstanceCreateInfo *info, const VkAllocationCallbacks *allocator,
                                                         VkInstance *instance) {
  VkLayerInstanceCreateInfo *link = link_of(info, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO);
  if (!link) return VK_ERROR_INITIALIZATION_FAILED;
  PFN_vkGetInstanceProcAddr proc = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;
  VkResult result = ((PFN_vkCreateInstance)proc(NULL, "vkCreateInstance"))(info, allocator, instance);
  if (result == VK_SUCCESS) {
    next_instance_proc = proc;
    the_instance = *instance;
  }
  return result;
}

static int offers(VkPhysicalDevice gpu, const char *wanted) {
  // vkEnumerateDeviceExtensionProperties is asked of the next in the chain, since the loader's own answer may leave some out.
  PFN_vkEnumerateDeviceExtensionProperties list =
      (PFN_vkEnumerateDeviceExtensionProperties)next_instance_proc(the_instance, "vkEnumerateDeviceExtensionProperties");
  uint32_t count = 0;
  if (!list || list(gpu, NULL, &count, NULL) != VK_SUCCESS) return 0;
  VkExtensionProperties *all = calloc(count, sizeof *all);
  int found = 0;
  if (all && list(gpu, NULL, &count, all) >= 0)
    for (uint32_t i = 0; i < count; i++) found |= !strcmp(all[i].extensionName, wanted);
  free(all);
  return found;
}

static VKAPI_ATTR VkResult VKAPI_CALL lab_CreateDevice(VkPhysicalDevice gpu, const VkDeviceCreateInfo *info,
                                                       const VkAllocationCallbacks *allocator, VkDevice *device) {
  VkLayerDeviceCreateInfo *link = link_of(info, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO);
  if (!link) return VK_ERROR_INITIALIZATION_FAILED;
  PFN_vkGetInstanceProcAddr instance_proc = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  PFN_vkGetDeviceProcAddr device_proc = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;
  const char *extension = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
  can_tell = offers(gpu, extension);
  VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR feature = {
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR, (void *)info->pNext, VK_TRUE};
  VkDeviceCreateInfo more = *info;
  const char **names = calloc(info->enabledExtensionCount + 1, sizeof *names);
  if (!names) return VK_ERROR_OUT_OF_HOST_MEMORY;
  for (uint32_t i = 0; i < info->enabledExtensionCount; i++) names[i] = info->ppEnabledExtensionNames[i];
  if (can_tell) {
    names[more.enabledExtensionCount++] = extension;
    more.ppEnabledExtensionNames = names;
    more.pNext = &feature;
  }
  VkResult result = ((PFN_vkCreateDevice)instance_proc(the_instance, "vkCreateDevice"))(gpu, &more, allocator, device);
  free(names);
  if (result == VK_SUCCESS) {
    next_device_proc = device_proc;
    the_device = *device;
  }
  return result;
}

static void put_text(FILE *file, const char *text, size_t most) {
  fputc('"', file);
  for (size_t i = 0; i < most && text[i]; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c == '"' || c == '\\') fprintf(file, "\\%c", c);
    else if (c < 0x20) fprintf(file, "\\u%04x", c);
    else fputc(c, file);
  }
  fputc('"', file);
}

static void put_statistics(FILE *file, const VkPipelineExecutableInfoKHR *which) {
  uint32_t count = 0;
  OF_DEVICE(vkGetPipelineExecutableStatisticsKHR)(the_device, which, &count, NULL);
  VkPipelineExecutableStatisticKHR *all = calloc(count + 1, sizeof *all);
  for (uint32_t i = 0; i < count; i++) all[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
  OF_DEVICE(vkGetPipelineExecutableStatisticsKHR)(the_device, which, &count, all);
  for (uint32_t i = 0; i < count; i++) {
    if (i) fputc(',', file);
    put_text(file, all[i].name, sizeof all[i].name);
    switch (all[i].format) {
      case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR: fprintf(file, ":%u", all[i].value.b32); break;
      case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR: fprintf(file, ":%lld", (long long)all[i].value.i64); break;
      case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR: fprintf(file, ":%llu", (unsigned long long)all[i].value.u64); break;
      default: fprintf(file, ":%.17g", all[i].value.f64);
    }
  }
  free(all);
}

// Of the texts that a driver has of a shader, from its own representations to the end: drivers name the last one assembly, and
// have it last.
static void put_assembly(FILE *file, const VkPipelineExecutableInfoKHR *which) {
  uint32_t count = 0;
  OF_DEVICE(vkGetPipelineExecutableInternalRepresentationsKHR)(the_device, which, &count, NULL);
  VkPipelineExecutableInternalRepresentationKHR *all = calloc(count + 1, sizeof *all);
  for (uint32_t i = 0; i < count; i++) all[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INTERNAL_REPRESENTATION_KHR;
  OF_DEVICE(vkGetPipelineExecutableInternalRepresentationsKHR)(the_device, which, &count, all);
  for (uint32_t i = 0; i < count; i++) all[i].pData = calloc(1, all[i].dataSize + 1);
  OF_DEVICE(vkGetPipelineExecutableInternalRepresentationsKHR)(the_device, which, &count, all);
  fprintf(file, "\"texts\":[");
  for (uint32_t i = 0; i < count; i++) {
    if (i) fputc(',', file);
    put_text(file, all[i].name, sizeof all[i].name);
  }
  fprintf(file, "],\"assembly\":");
  const VkPipelineExecutableInternalRepresentationKHR *last = NULL;
  for (uint32_t i = 0; i < count; i++)
    if (all[i].pData && (!last || strcasestr(all[i].name, "assembly"))) last = all + i;
  put_text(file, last ? last->pData : "", last ? last->dataSize : 0);
  for (uint32_t i = 0; i < count; i++) free(all[i].pData);
  free(all);
}

static void describe(VkPipeline pipeline) {
  const char *path = getenv("LAB_FILE");
  FILE *file = path && *path ? fopen(path, "w") : NULL;
  if (!file) return;
  VkPipelineInfoKHR info = {VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, NULL, pipeline};
  VkPipelineExecutablePropertiesKHR parts[16];
  uint32_t count = 16;
  for (uint32_t i = 0; i < 16; i++)
    parts[i] = (VkPipelineExecutablePropertiesKHR){VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR};
  OF_DEVICE(vkGetPipelineExecutablePropertiesKHR)(the_device, &info, &count, parts);
  fputc('[', file);
  for (uint32_t i = 0; i < count; i++) {
    VkPipelineExecutableInfoKHR which = {VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, NULL, pipeline, i};
    fprintf(file, "%s{\"name\":", i ? ",\n" : "");
    put_text(file, parts[i].name, sizeof parts[i].name);
    fprintf(file, ",\"subgroupSize\":%u,\"statistics\":{", parts[i].subgroupSize);
    put_statistics(file, &which);
    fprintf(file, "},");
    put_assembly(file, &which);
    fputc('}', file);
  }
  fprintf(file, "]\n");
  fclose(file);
}

static VKAPI_ATTR VkResult VKAPI_CALL lab_CreateComputePipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                                                                 const VkComputePipelineCreateInfo *infos,
                                                                 const VkAllocationCallbacks *allocator, VkPipeline *pipelines) {
  PFN_vkCreateComputePipelines create = OF_DEVICE(vkCreateComputePipelines);
  if (!can_tell) return create(device, cache, count, infos, allocator, pipelines);
  VkComputePipelineCreateInfo *more = calloc(count, sizeof *more);
  if (!more) return VK_ERROR_OUT_OF_HOST_MEMORY;
  for (uint32_t i = 0; i < count; i++) {
    more[i] = infos[i];
    more[i].flags |= VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR | VK_PIPELINE_CREATE_CAPTURE_INTERNAL_REPRESENTATIONS_BIT_KHR;
  }
  // Without a cache: what comes out of one may have been made without the texts.
  VkResult result = create(device, VK_NULL_HANDLE, count, more, allocator, pipelines);
  for (uint32_t i = 0; result == VK_SUCCESS && i < count; i++) describe(pipelines[i]);
  free(more);
  return result;
}

static PFN_vkVoidFunction own(const char *name) {
  if (!strcmp(name, "vkCreateInstance")) return (PFN_vkVoidFunction)lab_CreateInstance;
  if (!strcmp(name, "vkCreateDevice")) return (PFN_vkVoidFunction)lab_CreateDevice;
  if (!strcmp(name, "vkCreateComputePipelines")) return (PFN_vkVoidFunction)lab_CreateComputePipelines;
  return NULL;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL lab_GetDeviceProcAddr(VkDevice device, const char *name) {
  if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)lab_GetDeviceProcAddr;
  PFN_vkVoidFunction mine = own(name);
  return mine ? mine : next_device_proc ? next_device_proc(device, name) : NULL;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL lab_GetInstanceProcAddr(VkInstance instance, const char *name) {
  if (!strcmp(name, "vkGetInstanceProcAddr")) return (PFN_vkVoidFunction)lab_GetInstanceProcAddr;
  if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)lab_GetDeviceProcAddr;
  PFN_vkVoidFunction mine = own(name);
  return mine ? mine : next_instance_proc ? next_instance_proc(instance, name) : NULL;
}

__attribute__((visibility("default"))) VKAPI_ATTR VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *versions) {
  versions->loaderLayerInterfaceVersion = 2;
  versions->pfnGetInstanceProcAddr = lab_GetInstanceProcAddr;
  versions->pfnGetDeviceProcAddr = lab_GetDeviceProcAddr;
  versions->pfnGetPhysicalDeviceProcAddr = NULL;
  return VK_SUCCESS;
}
