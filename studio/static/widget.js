// One script tag in somebody else's page: <script src="https://STUDIO/static/widget.js" async></script>
(() => {
  "use strict";
  const script = document.currentScript, frame = document.createElement("iframe");
  frame.src = new URL("/widget", script.src).href;
  frame.title = script.dataset.title || "Do you like this picture?";
  frame.width = script.dataset.width || "340";
  frame.height = script.dataset.height || "400";
  frame.setAttribute("sandbox", "allow-scripts allow-same-origin");
  frame.style.border = "0";
  script.after(frame);
})();
