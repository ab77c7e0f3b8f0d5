// Runs before the modules, in the language of the oldest browsers: says within a moment that this one
// is too old, where the page would turn for ever. It asks for what the modules call, and listens for
// a syntax that the browser cannot read.
(function () {
  function show() {
    if (document.getElementById('old-browser')) return;
    var text = document.createElement('h1');
    text.id = 'old-browser';
    text.setAttribute('role', 'alert');
    text.textContent = '이 브라우저는 너무 오래되어 이 페이지를 열 수 없습니다. 업데이트하거나 크롬, 사파리에서 열어 주세요. This browser is too old for this page. Please update it, or open Chrome or Safari.';
    text.style.cssText = 'position:fixed;z-index:9;top:0;padding:1rem;color:#000;background:#ffc845';
    document.body.appendChild(text);
  }
  addEventListener('error', function (event) {
    if (/SyntaxError/.test(event.message)) show();
  });
  if (!('noModule' in document.createElement('script')) || ![].at || !Element.prototype.replaceChildren) show();
})();
