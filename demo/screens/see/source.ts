// Where the picture comes from: the photograph, a file, the camera.
import { get } from '../../shared/dom.ts';
import photograph from './assets/raccoon.jpg';
import type { Source } from './image.ts';

export interface Pictures {
  /** Whether pictures follow each other without being asked for. */
  readonly live: boolean;
  usePhotograph(): Promise<void>;
  stop(): void;
}

/**
 * Mounts the buttons, and the window as what pictures are dropped on.
 *
 * @param use - called with every new source.
 * @param complain - called with what a person should know.
 */
export function mountPictures(use: (source: Source) => void, complain: (text: string) => void): Pictures {
  let stream: MediaStream | undefined;
  const listeners = new AbortController();
  const { signal } = listeners;

  function stopCamera(): void {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = undefined;
    get('camera').setAttribute('aria-pressed', 'false');
  }

  async function usePhotograph(): Promise<void> {
    stopCamera();
    const image = new Image();
    image.src = photograph;
    await image.decode();
    if (signal.aborted) return;
    get('credit').hidden = false;
    use(image);
  }

  async function useFile(file: File | undefined): Promise<void> {
    if (!file) return;
    try {
      const bitmap = await createImageBitmap(file);
      stopCamera();
      get('credit').hidden = true;
      use(bitmap);
    } catch {
      complain(`“${file.name}” is not a picture that this browser can read.`);
    }
  }

  async function useCamera(): Promise<void> {
    if (stream) return usePhotograph();
    try {
      // Absent where the page is not secure.
      stream = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: 'environment' },
        audio: false,
      });
    } catch (error) {
      const denied = error instanceof DOMException && error.name === 'NotAllowedError';
      complain(denied ? 'The camera was not allowed.' : 'There is no camera that this page can use.');
      return;
    }
    const video = document.createElement('video');
    video.muted = true;
    video.playsInline = true;
    video.srcObject = stream;
    await video.play();
    get('camera').setAttribute('aria-pressed', 'true');
    get('credit').hidden = true;
    use(video);
  }

  const fileInput = get<HTMLInputElement>('file');
  get('choose').addEventListener('click', () => fileInput.click());
  fileInput.addEventListener('change', () => {
    void useFile(fileInput.files?.[0]);
    fileInput.value = '';
  });
  get('camera').addEventListener('click', () => void useCamera());
  get('photograph').addEventListener('click', () => void usePhotograph());

  const target = get('drop');
  const onWindow = <K extends 'dragover' | 'dragleave' | 'drop'>(
    type: K,
    react: (event: WindowEventMap[K]) => void,
  ): void => addEventListener(type, react, { signal });
  onWindow('dragover', (event) => {
    event.preventDefault();
    target.hidden = false;
  });
  onWindow('dragleave', (event) => {
    if (!event.relatedTarget) target.hidden = true;
  });
  onWindow('drop', (event) => {
    event.preventDefault();
    target.hidden = true;
    void useFile(event.dataTransfer?.files[0]);
  });

  return {
    get live() {
      return stream !== undefined;
    },
    usePhotograph,
    stop() {
      stopCamera();
      listeners.abort();
    },
  };
}
